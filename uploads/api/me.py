"""me/: whom a request is from, what it may do, and how much is left."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..access.authentication import Scopes, principal_of
from ..scopes import NAMES, Scope
from ..transfers.quota import usage_of
from .tokens import TokenSerializer


class QuotaSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(source="limits.quota", allow_null=True, help_text="Bytes; null: no limit.")
    stored = serializers.IntegerField(help_text="Bytes of your files.")
    reserved = serializers.IntegerField(help_text="Bytes of unfinished uploads, those still to come included.")
    left = serializers.IntegerField(allow_null=True)


class UploadsSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(source="limits.max_uploads", help_text="That are sent at the same time.")
    sending = serializers.IntegerField(help_text="That are being sent just now.")
    unfinished = serializers.IntegerField(help_text="That have not ended, paused ones too.")
    max_file_size = serializers.IntegerField(source="limits.largest", allow_null=True, help_text="null: no limit.")


class MeSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(source="user.username")
    is_staff = serializers.BooleanField(source="user.is_staff")
    groups = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(
        child=serializers.CharField(), help_text="Of staff. Others see and change what they own, and nothing else."
    )
    scopes = serializers.ListField(child=serializers.ChoiceField([(name, name) for name in NAMES]))
    token = TokenSerializer(allow_null=True, help_text="null: a session.")
    quota = QuotaSerializer()
    uploads = UploadsSerializer()


class MeView(APIView):
    scopes: Scopes = {"get": Scope.all()}

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Your account, what this request may do, and your limits with what you have taken of them."""
        principal = principal_of(request)
        user, use = principal.user, usage_of(principal.user.pk)
        found = {
            "user": user, "groups": sorted(user.groups.values_list("name", flat=True)), "token": principal.token,
            "permissions": sorted(user.get_all_permissions()) if user.is_staff else [],
            "scopes": principal.scopes.words, "quota": use, "uploads": use,
        }  # fmt: skip
        return Response(MeSerializer(found, context={"request": request}).data)
