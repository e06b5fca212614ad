class ForReader:
    """Articles that the one who asks may see."""

    def get_queryset(self):
        return super().get_queryset().seen_by(self.request.user)
