from django.contrib.auth.models import AbstractUser
from django.db import models


class Member(AbstractUser):
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")
    points = models.IntegerField(default=0)


class Editor(Member):
    """A proxy: the same table."""

    class Meta:
        proxy = True

    def drop_drafts(self):
        self.articles.filter(published=None).delete()
