from django.contrib import admin

from .models import Article, Comment, Edition, Notice


class CommentInline(admin.TabularInline):
    model = Comment


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):
    inlines = [CommentInline]
    actions = ["publish"]

    def publish(self, request, queryset):
        queryset.update(published="2026-01-01T00:00Z")


class NoticeAdmin(admin.ModelAdmin):
    pass


admin.site.register(Notice, NoticeAdmin)
admin.site.register(Edition)
