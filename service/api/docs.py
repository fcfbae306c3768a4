"""The documentation at ``/docs``: Swagger UI over this service's own description, with a form to try each operation.

Every file comes from this process, most of them out of a package that ships Swagger UI, so it works with the network
off; the content security policy lets nothing else in.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from litestar import get
from litestar.params import FromPath

from service.api.http.answer import Answer
from service.api.http.problems import ApiError

_PACKAGE = "mkdocs_swagger_ui_tag"
"""The package whose copy of Swagger UI is served. It is a plugin of a site generator; nothing of it is imported."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>On Record: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<script src="/docs/swagger-ui-bundle.js" defer></script>
<script src="/docs/start.js" defer></script>
</head>
<body>
<noscript>The same as <a href="/openapi.json">an OpenAPI description</a>.</noscript>
<main id="docs"></main>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
_JAVASCRIPT = "text/javascript; charset=utf-8"
_FILES = {
    "swagger-ui.css": ("text/css; charset=utf-8", "stylesheets/swagger-ui.css"),
    "swagger-ui-bundle.js": (_JAVASCRIPT, "javascripts/swagger-ui-bundle.js"),
}
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "public, max-age=3600",
}


@get(
    ["/docs", "/"],
    operation_id="readDocs",
    summary="This description, for reading and trying",
    opt={"public": True},
    include_in_schema=False,
    sync_to_thread=False,
)
def read_docs() -> Answer:
    """Return the documentation as a page; whoever opens the address that the service names wants it too."""
    return Answer(_PAGE, media_type="text/html; charset=utf-8", headers=_HEADERS)


@get(
    "/docs/{name:str}",
    operation_id="readDocsFile",
    summary="A file of the documentation",
    opt={"public": True},
    include_in_schema=False,
    sync_to_thread=False,
)
def read_docs_file(name: FromPath[str]) -> Answer:
    """Return one of the files that the page is made of."""
    if name == "start.js":
        return Answer(_START, media_type=_JAVASCRIPT, headers=_HEADERS)
    if name not in _FILES:
        raise ApiError("not-found", f"there is no {name[:80]}")
    media_type, _ = _FILES[name]
    return Answer(_file(name), media_type=media_type, headers=_HEADERS)


@cache
def _file(name: str) -> bytes:
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise RuntimeError(f"the package {_PACKAGE} is not installed")
    return Path(package.submodule_search_locations[0], "swagger-ui", _FILES[name][1]).read_bytes()


ROUTES = (read_docs, read_docs_file)
