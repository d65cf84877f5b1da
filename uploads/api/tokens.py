"""tokens/: an account lists, makes and revokes its own tokens."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from ..access.authentication import Scopes, principal_of
from ..access.tokens import LONGEST, USUAL, pass_on, revoke, usual_lifetime
from ..models import Token
from ..scopes import NAMES, Scope

_NAMES = [(name, name) for name in NAMES]


class TokenSerializer(serializers.ModelSerializer[Token]):
    id = serializers.UUIDField(source="public_id", read_only=True)
    prefix = serializers.CharField(read_only=True, help_text="How the token begins, to tell yours apart.")
    scopes = serializers.ListField(child=serializers.ChoiceField(_NAMES), read_only=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True, allow_null=True)
    current = serializers.SerializerMethodField(help_text="Whether it is the one that this request was sent with.")

    class Meta:
        model = Token
        fields = ["id", "name", "prefix", "scopes", "created_at", "expires_at", "current"]
        read_only_fields = fields

    def get_current(self, token: Token) -> bool:
        return token.public_id == principal_of(self.context["request"]).token_id


class NewTokenSerializer(TokenSerializer):
    token = serializers.SerializerMethodField(help_text="The token itself. It cannot be shown again.")

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]
        read_only_fields = fields

    def get_token(self, _: Token) -> str:
        return str(self.context["secret"])


class TokenRequest(serializers.Serializer[None]):
    name = serializers.CharField(max_length=100, help_text="What it is for.")
    scopes = serializers.ListField(child=serializers.ChoiceField(_NAMES), allow_empty=False)
    expires_in = serializers.IntegerField(
        min_value=1, max_value=int(LONGEST.total_seconds()), required=False, allow_null=True,
        help_text=f"Seconds until it ends; null: never. Left out: {USUAL.days} days, or less where the token that"
        " asks ends before.",
    )  # fmt: skip


class TokenViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Token]
):
    scopes: Scopes = {
        "list": Scope.ADMIN, "retrieve": Scope.ADMIN, "create": Scope.ADMIN, "destroy": Scope.ADMIN,
    }  # fmt: skip
    serializer_class = TokenSerializer
    pagination_class = None  # there are never many
    lookup_field = "public_id"
    lookup_url_kwarg = "pk"
    queryset = Token.objects.none()  # for the API's documentation; the answer is get_queryset's

    def get_queryset(self) -> Any:
        return Token.objects.select_related("user").filter(user_id=self.request.user.pk).order_by("-created")

    def perform_destroy(self, instance: Token) -> None:
        revoke(instance)

    @extend_schema(request=TokenRequest, responses={201: NewTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a token of your account. Its scopes are among those of this request; the answer alone shows it."""
        asked = TokenRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        said, giver = asked.validated_data, principal_of(request)
        seconds = said.get("expires_in")
        lifetime = None if seconds is None else timedelta(seconds=seconds)
        if "expires_in" not in said:
            lifetime = usual_lifetime(giver)
        token, secret = pass_on(giver, said["name"], Scope.of(said["scopes"]), lifetime)
        answer = NewTokenSerializer(token, context={"request": request, "secret": secret})
        headers = {
            "Location": reverse("token-detail", [token.public_id], request=request),
            "Cache-Control": "no-store",
        }
        return Response(answer.data, status=status.HTTP_201_CREATED, headers=headers)
