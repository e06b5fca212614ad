from people.models import Member
from rest_framework import serializers

from ..models import Article, Comment, Tag


class MemberSerializer(serializers.ModelSerializer):
    followed = serializers.SerializerMethodField()

    class Meta:
        model = Member
        fields = ["username", "followed"]

    def get_followed(self, member):
        user = self.context["request"].user
        return user.is_authenticated and user.follows.filter(pk=member.pk).exists()


class CommentSerializer(serializers.ModelSerializer):
    class Meta:
        model = Comment
        fields = ["id", "text", "author"]


class ArticleSerializer(serializers.ModelSerializer):
    author = MemberSerializer(read_only=True)
    labels = serializers.SlugRelatedField(
        many=True, slug_field="name", source="tags", queryset=Tag.objects.all()
    )
    comments = CommentSerializer(many=True, source="comment_set", read_only=True)

    class Meta:
        model = Article
        fields = ["title", "slug", "author", "labels", "comments", "like_count"]


class ShortSerializer(serializers.Serializer):
    title = serializers.CharField()
    host = serializers.CharField(source="edition.host", default="")
