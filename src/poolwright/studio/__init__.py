"""Studio: a local web application on a run, to look at its tables and to verify its rows with several people.

    access      who may come in: hosts, sessions, tokens, CSRF tokens
    guard       what every request passes before a page sees it: host, origin, size, session; and the headers of answers
    opened      the run, its tables, and their pictures by uid
    pages       templates and what they all show
    app         the application: routers, static files, errors
    serve       listening

Pages are drawn on the server (Jinja2), pieces of them exchanged by htmx, keys handled by small modules of JavaScript.
Nothing comes from the network. Routers: `home`, `verifying`, `exploring`.
"""
