"""Every page shows every write at once, to whom it is for, with the caches on and off."""

from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client, TransactionTestCase
from django.utils import timezone
from people.models import Editor, Member

from articles import views
from articles.models import Article, Comment, Feature, Flag, Like, Notice, Tag


def comment(t):
    t.ann.post("/articles/emma/comments", {"text": "so new"})


def title(text):
    Article.everything.filter(slug="emma").update(title=text)


def save(t):
    article = Article.everything.get(slug="emma")
    article.title = "Lesley"
    article.save()


def sql(text):
    with connection.cursor() as cursor:
        cursor.execute(text)


def follow(t):
    t.bob.post(f"/people/{t.ann.user.pk}/follow")


def drafts(t):
    Article.everything.create(title="Draft", author=t.ann.user)


# What is written; the page; who reads it; what the page shows then and did not before, or the other way round with "-".
WRITES = {
    "a comment": (comment, "/articles/emma/comments", "nobody", "so new"),
    "a comment by its address": (lambda t: Comment.objects.filter(pk=t.comment.pk).update(text="so new"), "/api/comments/{comment}", "bob", "so new"),
    "a comment is taken away": (lambda t: t.ann.delete(f"/api/comments/{t.comment.pk}"), "/articles/emma/comments", "bob", "-well said"),
    "a title, in bulk": (lambda t: title("Persuasion"), "/", "nobody", "Persuasion"),
    "a title, in SQL": (lambda t: sql("UPDATE articles_article SET title = 'Sanditon'"), "/", "bob", "Sanditon"),
    "a title, saved": (save, "/", "ann", "Lesley"),
    "a draft": (drafts, "/", "ann", "Draft"),
    "a draft, counted": (drafts, "/api/me", "ann", '"drafts":1'),
    "drafts are dropped": (lambda t: Editor.objects.get(pk=t.bob.user.pk).drop_drafts(), "/api/me", "bob", '-"drafts":1'),
    "a like": (lambda t: t.bob.post("/articles/emma/like"), "/api/articles/liked/", "bob", "Emma"),
    "a like, in bulk": (lambda t: Like.objects.bulk_create([Like(article=t.article, member=t.bob.user)]), "/api/articles/liked/", "bob", "Emma"),
    "likes go with a comment": (lambda t: t.comment.delete(), "/api/articles/liked/", "ann", "-Emma"),
    "a tag": (lambda t: t.article.tags.add(t.tag), "/api/tags", "nobody", '"novel":1'),
    "tags that nobody has are pruned": (lambda t: call_command("prune"), "/api/tags", "bob", "-novel"),
    "a tag's name": (lambda t: Tag.objects.filter(pk=t.tag.pk).update(name="roman"), "tag_names", "nobody", "roman"),
    "a flag": (lambda t: Flag.objects.create(content_type=ContentType.objects.get_for_model(Article), object_id=t.article.pk), "/flags", "nobody", '"all": 1'),
    "a follower": (follow, "/people/ann/", "bob", "1"),
    "a follower, at the top": (follow, "/people/top", "nobody", '"readers": 1'),
    "a feature": (lambda t: Feature.objects.create(title="Seen", slug="seen", author=t.ann.user, picture="a.png"), "/features", "ann", "a.png"),
    "a picture": (lambda t: Feature.objects.update(picture="b.png"), "/features", "ann", "b.png"),
    "views": (lambda t: t.ann.put("/api/views/emma", {"views": 7}, "application/json"), "/api/views/emma", "nobody", "7"),
    "views by reading": (lambda t: t.nobody.get("/articles/emma/"), "/api/views/emma", "bob", "1"),
    "a notice": (lambda t: Notice.objects.create(text="Closed today"), "/", "nobody", "Closed today"),
    "a member goes": (lambda t: Member.objects.get(username="ann").delete(), "/", "bob", "-Emma"),
}  # fmt: skip


class PagesTest(TransactionTestCase):
    def setUp(self):
        for name in ("ann", "bob"):
            client = Client(raise_request_exception=False)
            client.user = Member.objects.create_user(name)
            client.force_login(client.user)
            setattr(self, name, client)
        self.nobody = Client(raise_request_exception=False)
        self.tag = Tag.objects.create(name="novel")
        self.article = Article.everything.create(
            title="Emma", slug="emma", author=self.ann.user, published=timezone.now()
        )
        self.comment = Comment.objects.create(article=self.article, author=self.ann.user, text="well said")
        Feature.objects.create(title="Old", slug="old", author=self.bob.user, picture="old.png")
        Like.objects.create(article=self.article, member=self.ann.user)

    def read(self, page, who):
        cache.clear()  # the pages that the application itself keeps for a minute
        if page == "tag_names":
            return views.tag_names()
        answer = getattr(self, who).get(page.format(comment=self.comment.pk))
        self.assertIn(answer.status_code, (200, 403, 404, 500))
        return answer.content.decode()

    def read_all(self, page):
        return {who: self.read(page, who) for who in ("ann", "bob", "nobody", "ann", "bob", "nobody")}

    def check(self, name):
        write, page, who, shown = WRITES[name]
        before = self.read_all(page)
        self.assertEqual(self.read_all(page), before)
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            write(self)
            raise ZeroDivisionError
        self.comment = Comment.objects.get(text="well said")
        self.assertEqual(self.read_all(page), before)
        write(self)
        after = self.read(page, who)
        there, gone = (after, before[who]) if shown[0] != "-" else (before[who], after)
        self.assertIn(shown.lstrip("-"), there)
        self.assertNotIn(shown.lstrip("-"), gone)

    def test_nobody_sees_what_is_for_another(self):
        drafts(self)
        for _ in range(2):
            self.assertIn("Draft", self.read("/", "ann"))
            self.assertNotIn("Draft", self.read("/", "bob"))
            self.assertIn('"name":"ann"', self.read("/api/me", "ann"))
            self.assertIn('"name":"bob"', self.read("/api/me", "bob"))
            self.assertEqual(self.nobody.get("/api/me").status_code, 403)

    def test_a_page_is_kept_for_each_language(self):
        for language in ("de", "en", "de"):
            answer = self.nobody.get("/features", HTTP_ACCEPT_LANGUAGE=language).json()
            self.assertEqual(answer["language"], language)


for _name in WRITES:
    setattr(PagesTest, "test_" + _name.replace(" ", "_"), lambda self, name=_name: self.check(name))
