from django.urls import path

from . import views

app_name = "articles"
urlpatterns = [
    path("", views.ArticleList.as_view(), name="list"),
    path("new/", views.ArticleCreate.as_view(), name="new"),
    path("articles/<slug:slug>/", views.ArticlePage.as_view(), name="page"),
    path("articles/<slug:slug>/delete", views.ArticleDelete.as_view()),
    path("articles/<slug:slug>/comments", views.comments),
    path("articles/<slug:slug>/like", views.like),
    path("tags", views.tags),
    path("features", views.Features.as_view()),
    path("greeting", views.greeting),
    path("clock", views.clock),
    path("flags", views.flags),
]
