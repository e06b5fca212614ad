"""What the paths of Flask and its extensions mean, and the one spelling of those that have several."""

from cache_strategy.profile.library import Known, known_paths

KNOWN = {
    **known_paths("query", "args values query_string full_path url", "flask.request."),
    **known_paths("body", "form json get_json data get_data files stream content_length", "flask.request."),
    **known_paths("header", "headers environ", "flask.request."),
    **known_paths(
        "path",
        "path base_url script_root endpoint blueprint blueprints url_rule view_args method",
        "flask.request.",
    ),
    **{
        f"flask.request.{path}": Known("header", name)
        for name, paths in {
            "Authorization": "authorization",
            "User-Agent": "user_agent",
            "Referer": "referrer",
            "X-Forwarded-For": "remote_addr access_route",
            "Accept": "accept_mimetypes",
            "X-Requested-With": "is_xhr",
            "If-None-Match": "if_none_match",
            "Host": "host host_url url_root root_url",
            "Content-Type": "content_type mimetype is_json",
        }.items()
        for path in paths.split()
    },
    "flask.request.accept_languages": Known("locale", "Accept-Language"),
    **known_paths("cookie", "flask.request.cookies"),
    **known_paths("session", "flask.session"),
    "flask.get_flashed_messages": Known("session", "flashes"),
    **known_paths("settings", "flask.current_app.config flask.Flask().config"),
    **known_paths(
        "locale",
        "get_locale get_timezone format_date format_datetime gettext lazy_gettext ngettext _",
        "flask_babel.",
    ),
    **known_paths("locale", "flask_babelex"),
    **{
        f"flask_wtf.{path}": Known("session", "csrf_token")
        for path in ("csrf.generate_csrf", "FlaskForm().hidden_tag", "FlaskForm().csrf_token")
    },
    **known_paths("time", "create_access_token create_refresh_token", "flask_jwt_extended."),
    **known_paths(
        "side",
        """flask_login.login_user flask_login.logout_user flask_login.confirm_login
        flask_jwt_extended.set_access_cookies flask_jwt_extended.unset_jwt_cookies flask.flash flask.after_this_request
        flask_mail.Mail().send flask_mail.Mail().connect flask_mailman celery.Celery().send_task""",
    ),
    **known_paths("files", "send_file send_from_directory current_app.open_resource", "flask."),
}
ALIASES = dict(
    line.split()
    for line in """\
werkzeug.LocalProxy werkzeug.local.LocalProxy
blinker.base. blinker.
flask.signals.Namespace blinker.Namespace
webargs.fields. marshmallow.fields.
apiflask.fields. marshmallow.fields.
flask_marshmallow.fields. marshmallow.fields.
flask_marshmallow.Marshmallow().fields marshmallow.fields
flask_restplus.fields. flask_restful.fields.
flask_restx.fields. flask_restful.fields.
flask.globals. flask.
flask_wtf.form. flask_wtf.
flask_wtf.Form flask_wtf.FlaskForm
flask.app.Flask flask.Flask
flask.blueprints.Blueprint flask.Blueprint
flask.templating. flask.
flask.helpers. flask.
flask.wrappers.Response flask.Response
flask_openapi3.APIBlueprint flask.Blueprint
flask_openapi3.OpenAPI flask.Flask
flask_smorest.Blueprint flask.Blueprint
flask_smorest.blueprint.Blueprint flask.Blueprint
apiflask.APIBlueprint flask.Blueprint
apiflask.APIFlask flask.Flask
flask_restplus. flask_restx.
flask_jwt_extended.utils. flask_jwt_extended.
flask_jwt_extended.view_decorators. flask_jwt_extended.
flask_login.utils. flask_login.""".splitlines()
)
