from django.urls import include, path
from rest_framework.routers import DefaultRouter

from . import views

router = DefaultRouter()
router.register("articles", views.ArticleViewSet)

urlpatterns = [
    path("comments/<int:pk>", views.CommentDetail.as_view()),
    path("tags", views.TagList.as_view()),
    path("me", views.Me.as_view()),
    path("views/<slug>", views.views_of),
    path("", include(router.urls)),
]
