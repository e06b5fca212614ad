from django import template

from articles.models import Tag

register = template.Library()


@register.inclusion_tag("articles/cloud.html")
def cloud():
    return {"cloud": Tag.objects.all()}


@register.filter
def likes(article):
    return article.like_count
