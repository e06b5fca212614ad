from .models import Notice


def notices(request):
    return {"notices": Notice.objects.all()}
