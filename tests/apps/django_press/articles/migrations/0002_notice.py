from django.db import migrations


def fill(apps, schema_editor):
    apps.get_model("articles", "Notice").objects.get_or_create(text="Welcome")


class Migration(migrations.Migration):
    dependencies = [("articles", "0001_initial")]
    operations = [
        migrations.RunPython(fill),
        migrations.RunSQL("UPDATE articles_article SET views = 0 WHERE views IS NULL"),
    ]
