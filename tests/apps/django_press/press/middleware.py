from articles.models import Edition


class EditionMiddleware:
    """Which edition a host shows."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.edition = Edition.objects.filter(host=request.get_host()).first()
        return self.get_response(request)
