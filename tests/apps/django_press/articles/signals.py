from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from .models import Audit, Comment, Like


@receiver([post_save, post_delete], sender=Comment)
def note_comment(sender, instance, **kwargs):
    Audit.objects.create(text=instance.text)


def forget_likes(sender, instance, **kwargs):
    Like.objects.filter(article=instance.article).delete()


post_delete.connect(forget_likes, sender=Comment)
