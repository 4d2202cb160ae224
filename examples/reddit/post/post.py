"""Posts: a title, a link and votes. Kept in a MongoDB-compatible database."""

import os
import time

from bson import ObjectId
from bson.errors import InvalidId
from flask import Flask, abort, jsonify, request
from pymongo import MongoClient, ReturnDocument
from pymongo.errors import PyMongoError

app = Flask(__name__)
client = MongoClient(
    os.environ["POST_DATABASE_HOST"],
    int(os.environ["POST_DATABASE_PORT"]),
    serverSelectionTimeoutMS=2000,
    connect=False,
)
posts = client["posts"]["posts"]


def shown(post):
    return {
        "id": str(post["_id"]),
        "title": post["title"],
        "link": post["link"],
        "votes": post["votes"],
        "created_at": post["created_at"],
    }


def key(post_id):
    try:
        return {"_id": ObjectId(post_id)}
    except InvalidId:
        abort(404)


@app.errorhandler(PyMongoError)
def database_failed(error):
    app.logger.error("the database does not answer: %s", error)
    return jsonify(error="the database does not answer"), 503


@app.get("/posts")
def list_posts():
    found = posts.find().sort([("votes", -1), ("created_at", -1)]).limit(100)
    return jsonify([shown(post) for post in found])


@app.post("/posts")
def add_post():
    body = request.get_json()
    title, link = str(body.get("title", "")).strip(), str(body.get("link", "")).strip()
    if not title or not link.startswith(("http://", "https://")):
        return jsonify(error="a post needs a title and an http link"), 400
    made = posts.insert_one({"title": title, "link": link, "votes": 0, "created_at": int(time.time())})
    return jsonify(id=str(made.inserted_id)), 201


@app.get("/posts/<post_id>")
def one_post(post_id):
    post = posts.find_one(key(post_id))
    if post is None:
        abort(404)
    return jsonify(shown(post))


@app.post("/posts/<post_id>/vote")
def vote(post_id):
    by = request.get_json().get("by")
    if by not in (1, -1):
        return jsonify(error="a vote is 1 or -1"), 400
    post = posts.find_one_and_update(key(post_id), {"$inc": {"votes": by}}, return_document=ReturnDocument.AFTER)
    if post is None:
        abort(404)
    return jsonify(shown(post))


@app.get("/healthcheck")
def healthcheck():
    client.admin.command("ping")
    return jsonify(status="ok")
