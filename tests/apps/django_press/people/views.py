from django.db import connection
from django.db.models import Count
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.generic import DetailView

from .models import Member


class MemberDetail(DetailView):
    model = Member
    slug_field = slug_url_kwarg = "username"
    template_name = "articles/member.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(followed=self.object.followers.count(), **kwargs)


def follow(request, pk):
    if request.method == "POST":
        request.user.follows.add(get_object_or_404(Member, pk=pk))
    return redirect("/")


def top(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT author_id, COUNT(*) FROM articles_article GROUP BY author_id")
        counts = dict(cursor.fetchall())
    best = Member.objects.annotate(readers=Count("followers")).values("username", "readers")[: len(counts)]
    return JsonResponse({"top": list(best)})
