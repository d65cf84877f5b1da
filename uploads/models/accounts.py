"""The tables of account limits and tokens."""

import uuid

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from knox.models import AbstractAuthToken

_PREFIX_LENGTH = 8


class AccountLimits(models.Model):
    """Limits of an account or of the members of a group. An empty limit is taken from the group or the settings."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="own_limits"
    )
    group = models.OneToOneField(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="limits")
    quota = models.BigIntegerField(null=True, blank=True)  # bytes, like the next one
    max_file_size = models.BigIntegerField("largest file", null=True, blank=True)
    max_uploads = models.PositiveIntegerField(
        "parallel uploads", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )

    class Meta:
        verbose_name = verbose_name_plural = "limits"
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group=None) | Q(user=None, group__isnull=False),
                name="limits_of_user_or_group",
            ),
            models.CheckConstraint(
                condition=(Q(quota=None) | Q(quota__gte=0))
                & (Q(max_file_size=None) | Q(max_file_size__gte=1))
                & (Q(max_uploads=None) | Q(max_uploads__gte=1)),
                name="limits_let_something_in",
            ),
        ]

    def __str__(self) -> str:
        return f"limits of {self.user or self.group}"


class Token(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """An API token: named, stored as a hash, with scopes and an expiry date. Deleting it revokes it."""

    # Knox's primary key is the hash. This id may appear in URLs and logs.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    scopes = models.JSONField()  # the names of Scope

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def prefix(self) -> str:
        """The first characters of the token, by which people recognise it."""
        return str(self.token_key[:_PREFIX_LENGTH])
