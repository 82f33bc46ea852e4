"""Riders log in."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from api.auth.guarded_route import GuardedRoute
from api.auth.limits import limited
from api.problems import Problem, responses
from api.world import world_of

router = APIRouter(tags=["login"], route_class=GuardedRoute)


class WeChatCode(BaseModel):
    """What `wx.login` gave."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "0a1B2c3D"}]})

    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class LoginAnswer(BaseModel):
    """A bearer token of a rider. Log in again when it ends."""

    token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in_s: int = Field(examples=[7200])


@router.post(
    "/v1/login/wechat",
    summary="Log in with WeChat",
    responses=responses(401, 403, 404, 422, 429, 503),
    dependencies=[limited("login", by=("address",))],
)
async def login_wechat(request: Request, given: WeChatCode) -> LoginAnswer:
    """Changes a code of the operator's mini-program for a token. The openid is kept as a keyed hash only."""
    login = world_of(request).login
    if login is None:
        raise Problem(
            "login_not_offered",
            404,
            "This installation has no login with WeChat: ask its operator for a token.",
        )
    got = await login.login(given.code)
    return LoginAnswer(token=got.token, expires_in_s=got.expires_in_s)
