from django.core.management.base import BaseCommand

from articles.models import Audit, Tag


class Command(BaseCommand):
    def handle(self, *args, **options):
        Tag.objects.filter(articles=None).delete()
        Audit.objects.bulk_create([Audit(text="pruned")])
