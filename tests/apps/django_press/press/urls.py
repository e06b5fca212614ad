from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include(("articles.urls", "articles"), namespace="articles")),
    path("people/", include("people.urls")),
]
urlpatterns += [path("api/", include("articles.api.urls"))]
