"""An API with one secret. Who asks for it with a bad token, or logs in with a bad password, is written down."""

import hashlib
import hmac
import os
import secrets
import time

import jwt
import redis
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

TOKEN_SECONDS = 3600
SECRET = os.environ["JWT_SECRET"]
LOG = os.environ["SUSPICIOUS_LOG"]

app = FastAPI(title="casestudy3")
users = redis.Redis(os.environ["DATABASE_HOST"], int(os.environ["DATABASE_PORT"]), socket_timeout=3)


class Credentials(BaseModel):
    username: str = Field(min_length=1, max_length=64, regex=r"^[A-Za-z0-9_.-]+$")
    password: str = Field(min_length=8, max_length=256)


def suspicious(request, what):
    """Appends one line; the file is opened anew so that it may be rotated meanwhile."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    client = request.client.host if request.client else "unknown"
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(f"{when} {client} {request.method} {request.url.path}: {what}\n")


def hashed(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


@app.exception_handler(redis.RedisError)
def database_failed(request, error):
    return JSONResponse({"detail": "the database does not answer"}, status_code=503)


@app.post("/register", status_code=201)
def register(credentials: Credentials):
    salt = secrets.token_bytes(16)
    record = salt + hashed(credentials.password, salt)
    if not users.set(f"user:{credentials.username}", record, nx=True):
        raise HTTPException(409, "this name is taken")
    return {"username": credentials.username}


@app.post("/login")
def login(credentials: Credentials, request: Request):
    record = users.get(f"user:{credentials.username}") or bytes(16)
    if not hmac.compare_digest(record[16:], hashed(credentials.password, record[:16])):
        suspicious(request, f"wrong password for {credentials.username}")
        raise HTTPException(401, "wrong name or password")
    now = int(time.time())
    claims = {"sub": credentials.username, "iat": now, "exp": now + TOKEN_SECONDS}
    return {"token": jwt.encode(claims, SECRET, algorithm="HS256")}


def user(request: Request):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        suspicious(request, "no token")
        raise HTTPException(401, "a token is required")
    try:
        return jwt.decode(token, SECRET, algorithms=["HS256"])["sub"]
    except (jwt.InvalidTokenError, KeyError) as error:
        suspicious(request, f"invalid token: {error}")
        raise HTTPException(401, "the token is not valid") from error


@app.get("/hidden_resource")
def hidden_resource(name: str = Depends(user)):
    return {"secret": f"Well hidden, {name}."}


@app.get("/healthcheck")
def healthcheck():
    users.ping()
    return {"status": "ok"}
