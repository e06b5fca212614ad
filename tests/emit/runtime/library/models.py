"""Shelves and books."""

import uuid

from django.db import models


class Shelf(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Book(models.Model):
    title = models.CharField(max_length=50)
    read = models.IntegerField(default=0)
    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True)
    next = models.ForeignKey("self", models.SET_NULL, null=True)
    tags = models.ManyToManyField("Tag", related_name="books")


class Novel(Book):
    pages = models.IntegerField(default=1)


class Tag(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Unwatched(models.Model):
    pass
