from django.db.models import Count, Exists, OuterRef
from rest_framework import generics, permissions, status, viewsets
from rest_framework.decorators import action, api_view
from rest_framework.response import Response
from rest_framework.views import APIView

from ..models import Article, Comment, Like, Tag
from .serializers import ArticleSerializer, CommentSerializer, ShortSerializer


class IsAuthor(permissions.BasePermission):
    def has_object_permission(self, request, view, obj):
        return request.method in permissions.SAFE_METHODS or obj.author == request.user


class ArticleViewSet(viewsets.ModelViewSet):
    queryset = Article.objects.published()
    lookup_field = "slug"
    permission_classes = [permissions.IsAuthenticatedOrReadOnly, IsAuthor]

    def get_serializer_class(self):
        return ShortSerializer if self.action == "list" else ArticleSerializer

    def perform_create(self, serializer):
        serializer.save(author=self.request.user)

    @action(detail=True, methods=["post", "delete"])
    def like(self, request, slug=None):
        if request.method == "DELETE":
            Like.objects.filter(article=self.get_object(), member=request.user).delete()
        else:
            Like.objects.bulk_create([Like(article=self.get_object(), member=request.user)])
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=False)
    def liked(self, request):
        mine = Like.objects.filter(article=OuterRef("pk"), member=request.user)
        return Response(Article.everything.filter(Exists(mine)).values("title"))


class CommentDetail(generics.RetrieveDestroyAPIView):
    queryset = Comment.objects.select_related("author")
    serializer_class = CommentSerializer


class TagList(generics.ListAPIView):
    queryset = Tag.objects.annotate(uses=Count("articles"))
    pagination_class = None

    def list(self, request):
        return Response({tag.name: tag.uses for tag in self.get_queryset()})


class Me(APIView):
    permission_classes = [permissions.IsAuthenticated]

    def get(self, request):
        return Response(
            {"name": request.user.username, "drafts": request.user.articles.filter(published=None).count()}
        )


@api_view(["GET", "PUT"])
def views_of(request, slug):
    if request.method == "PUT":
        Article.everything.filter(slug=slug).update(views=request.data["views"])
    return Response(Article.everything.only("views").get(slug=slug).views)
