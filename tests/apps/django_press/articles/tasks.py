from celery import shared_task

from .models import Article, Tag


@shared_task
def retag(old, new):
    tag, _ = Tag.objects.update_or_create(name=new)
    for article in Article.everything.filter(tags__name=old):
        article.tags.set([tag])
