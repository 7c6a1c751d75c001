"""HTTP routes; the WebSocket's is in assistant/asgi.py. docs/protocol.md describes them."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from assistant import answer_views, prompt_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("conversations/<uuid:conversation_id>/", views.conversation, name="conversation"),
    path("conversations/<uuid:conversation_id>/rename/", views.rename, name="rename"),
    path("conversations/<uuid:conversation_id>/delete/", views.delete, name="delete"),
    path("answers/<uuid:answer_id>/", answer_views.answer, name="answer"),
    path("answers/<uuid:answer_id>/again/", answer_views.again, name="answer-again"),
    path("answers/<uuid:answer_id>/prompt/", prompt_views.prompt, name="prompt"),
    path("answers/<uuid:answer_id>/prompt.json", prompt_views.prompt_json, name="prompt-json"),
    path("answers/<uuid:answer_id>/prompt.txt", prompt_views.prompt_txt, name="prompt-txt"),
    path("answers/<uuid:answer_id>/log.json", answer_views.log_json, name="answer-log"),
    path("answers/<uuid:answer_id>/changes/", answer_views.changes, name="answer-changes"),
    path("answers/<uuid:answer_id>/changes.json", answer_views.changes_json, name="answer-changes-json"),
    path("moved.json", answer_views.moved_json, name="moved"),
    path("repositories/index/", views.index_again, name="index-again"),
    path("status.json", views.status_json, name="status"),
    path("mentions.json", views.mentions_json, name="mentions"),
    path("changed.json", views.changed_json, name="changed"),
    path("source/<path:name>/<uuid:snapshot_id>/<path:path>", views.source, name="source"),
    path("sign-in/", LoginView.as_view(template_name="sign_in.html", redirect_authenticated_user=True), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("healthz", views.healthz, name="healthz"),
]
