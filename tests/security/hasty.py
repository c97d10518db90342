"""`hermod` with a fiftieth of the patience for slow clients, so that a test need not wait for it."""

from api import connection

connection.HEAD_S /= 50
connection.BODY_S /= 50
connection.LINGER_S /= 50

if __name__ == "__main__":
    from deploy.cli import main

    main()
