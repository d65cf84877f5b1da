"""tokens/: list, create and revoke the tokens of one's own account."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from ..access.authentication import Scopes, principal_of
from ..access.tokens import DEFAULT_LIFETIME, MAX_LIFETIME, default_lifetime, make_own_token, revoke
from ..models import Token
from ..scopes import NAMES, Scope

_NAMES = [(name, name) for name in NAMES]


class TokenSerializer(serializers.ModelSerializer[Token]):
    id = serializers.UUIDField(source="public_id", read_only=True)
    prefix = serializers.CharField(read_only=True, help_text="The first characters of the token.")
    scopes = serializers.ListField(child=serializers.ChoiceField(_NAMES), read_only=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True, allow_null=True)
    current = serializers.SerializerMethodField(help_text="Whether this request was sent with this token.")

    class Meta:
        model = Token
        fields = ["id", "name", "prefix", "scopes", "created_at", "expires_at", "current"]
        read_only_fields = fields

    def get_current(self, token: Token) -> bool:
        return token.public_id == principal_of(self.context["request"]).token_id


class NewTokenSerializer(TokenSerializer):
    token = serializers.SerializerMethodField(help_text="The token itself. It is shown only once.")

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]
        read_only_fields = fields

    def get_token(self, _: Token) -> str:
        return str(self.context["secret"])


class TokenRequest(serializers.Serializer[None]):
    name = serializers.CharField(max_length=100, help_text="A name by which you recognize the token.")
    scopes = serializers.ListField(child=serializers.ChoiceField(_NAMES), allow_empty=False)
    expires_in = serializers.IntegerField(
        min_value=1, max_value=int(MAX_LIFETIME.total_seconds()), required=False, allow_null=True,
        help_text=f"Lifetime in seconds; null: no expiry. Default: {DEFAULT_LIFETIME.days} days, or the rest"
        " of this token's lifetime.",
    )  # fmt: skip


class TokenViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Token]
):
    scopes: Scopes = {
        "list": Scope.ADMIN, "retrieve": Scope.ADMIN, "create": Scope.ADMIN, "destroy": Scope.ADMIN,
    }  # fmt: skip
    serializer_class = TokenSerializer
    pagination_class = None  # an account has at most a hundred
    lookup_field = "public_id"
    lookup_url_kwarg = "pk"
    queryset = Token.objects.none()  # for the API schema; get_queryset gives the rows

    def get_queryset(self) -> Any:
        return Token.objects.select_related("user").filter(user_id=self.request.user.pk).order_by("-created")

    def perform_destroy(self, instance: Token) -> None:
        revoke(instance)

    @extend_schema(request=TokenRequest, responses={201: NewTokenSerializer})
    def create(self, request: Request) -> Response:
        """Create a token of your account, with scopes of this request. Only this response has the secret."""
        form = TokenRequest(data=request.data)
        form.is_valid(raise_exception=True)
        values, principal = form.validated_data, principal_of(request)
        seconds = values.get("expires_in")
        lifetime = None if seconds is None else timedelta(seconds=seconds)
        if "expires_in" not in values:
            lifetime = default_lifetime(principal)
        token, secret = make_own_token(principal, values["name"], Scope.of(values["scopes"]), lifetime)
        answer = NewTokenSerializer(token, context={"request": request, "secret": secret})
        headers = {
            "Location": reverse("token-detail", [token.public_id], request=request),
            "Cache-Control": "no-store",
        }
        return Response(answer.data, status=status.HTTP_201_CREATED, headers=headers)
