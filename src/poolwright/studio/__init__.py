"""The studio: a local web application on a run, to explore its tables and to verify its rows with several people.

    access      access control: hosts, sessions, tokens, CSRF tokens
    guard       middleware: checks of host, origin, size and session; headers of responses
    opened      the run, its tables, and their pictures by uid
    pages       templates and the values that all of them show
    app         the application: routers, static files, errors
    serve       the server

Pages are rendered on the server (Jinja2), parts of them are exchanged by htmx, and small modules of JavaScript handle
keys. Nothing is loaded from the network. Routers: `home`, `verifying`, `exploring`.
"""
