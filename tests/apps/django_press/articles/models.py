from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property


class Stamped(models.Model):
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Edition(models.Model):
    host = models.CharField(max_length=80, unique=True)

    class Meta:
        db_table = "press_editions"


class Tag(models.Model):
    name = models.SlugField(unique=True)


class Flag(models.Model):
    """A row of any table is flagged."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.PositiveIntegerField()
    target = GenericForeignKey()


class ArticleQuerySet(models.QuerySet):
    def published(self):
        return self.filter(published__isnull=False)

    def seen_by(self, user):
        return self.filter(
            Q(published__isnull=False) | Q(author_id=user.pk) | Q(likes__member_id=user.pk)
        ).distinct()


class ArticleManager(models.Manager.from_queryset(ArticleQuerySet)):
    def get_queryset(self):
        return super().get_queryset().select_related("author")


class Article(Stamped):
    title = models.CharField(max_length=80)
    slug = models.SlugField(unique=True)
    published = models.DateTimeField(null=True)
    views = models.IntegerField(default=0)
    edition = models.ForeignKey(Edition, on_delete=models.PROTECT, null=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="articles")
    tags = models.ManyToManyField(Tag, related_name="articles")
    flags = GenericRelation(Flag)
    objects = ArticleManager()
    everything = models.Manager()

    def save(self, *args, **kwargs):
        self.slug = self.slug or self.title.lower()
        super().save(*args, **kwargs)
        Revision.objects.create(article=self, title=self.title)

    @cached_property
    def like_count(self):
        return self.likes.count()

    def seen(self):
        type(self).objects.filter(pk=self.pk).update(views=F("views") + 1)


class Feature(Article):
    """A table of its own beside that of articles."""

    picture = models.CharField(max_length=80)


class Revision(Stamped):
    article = models.ForeignKey(Article, models.SET_NULL, null=True)
    title = models.CharField(max_length=80)


class Like(models.Model):
    article = models.ForeignKey(Article, models.CASCADE, related_name="likes")
    member = models.ForeignKey("people.Member", models.CASCADE, related_name="+")


class Comment(Stamped):
    article = models.ForeignKey(Article, models.CASCADE)
    author = models.ForeignKey("people.Member", models.SET_NULL, null=True)
    text = models.TextField()


class Notice(models.Model):
    text = models.TextField()


class Audit(models.Model):
    text = models.TextField()
