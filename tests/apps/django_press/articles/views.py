from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.cache import cache
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from django.views.generic import CreateView, DeleteView, ListView, TemplateView, View

from .forms import ArticleForm
from .mixins import ForReader
from .models import Article, Comment, Feature, Flag, Like, Tag


class ArticleList(ForReader, ListView):
    model = Article
    paginate_by = settings.PAGE_SIZE


class ArticlePage(TemplateView):
    template_name = "articles/article_page.html"

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        context["article"] = Article.objects.published().get(slug=self.kwargs["slug"])
        context["article"].seen()
        return context


class ArticleCreate(LoginRequiredMixin, CreateView):
    form_class = ArticleForm
    template_name = "articles/form.html"
    success_url = "/"

    def form_valid(self, form):
        form.instance.author = self.request.user
        return super().form_valid(form)


@method_decorator(login_required, name="dispatch")
class ArticleDelete(DeleteView):
    model = Article
    template_name = "articles/form.html"
    success_url = "/"


def comments(request, slug):
    found = Comment.objects.filter(article__slug=slug).order_by("-created")
    if request.method == "POST" and request.user.is_authenticated:
        article = Article.everything.get(slug=slug)
        article.comment_set.create(author=request.user, text=request.POST["text"])
        return redirect(request.path)
    return JsonResponse({"comments": list(found.values_list("text", flat=True))})


@require_POST
@login_required
def like(request, slug):
    Like.objects.get_or_create(article=Article.everything.get(slug=slug), member=request.user)
    return HttpResponse(_("Thank you"))


def tags(request):
    return HttpResponse(cache.get_or_set("tags", tag_names, 300))


def tag_names():
    return ",".join(Tag.objects.values_list("name", flat=True))


class Features(View):
    def get(self, request):
        found = Feature.objects.raw(
            "SELECT * FROM articles_feature f JOIN articles_article a ON a.id = f.article_ptr_id"
        )
        return JsonResponse({"features": [f.picture for f in found], "language": translation.get_language()})


@never_cache
def greeting(request):
    words = [
        request.headers.get("X-Edition", ""),
        request.COOKIES.get("theme", ""),
        request.session.get("last", ""),
    ]
    return HttpResponse(
        " ".join([*words, request.edition.host if request.edition else "", request.GET.get("q", "")])
    )


def clock(request):
    request.session["last"] = "clock"
    return render(request, "articles/clock.html", {"now": timezone.now()})


def flags(request):
    article = Article.everything.first()
    return JsonResponse({"flags": article.flags.count(), "all": Flag.objects.count()})
