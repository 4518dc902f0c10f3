"""Run folders in object stores: a local work folder, and a copy of it that another machine can go on with."""
