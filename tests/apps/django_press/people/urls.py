from django.contrib.auth.decorators import login_required
from django.urls import path, re_path
from django.views.decorators.cache import cache_page

from . import views

urlpatterns = [
    re_path(r"^(?P<username>[\w.]+)/$", views.MemberDetail.as_view()),
    path("<int:pk>/follow", login_required(views.follow)),
    path("top", cache_page(60)(views.top)),
]
