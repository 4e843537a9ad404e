"""The store on PostgreSQL 13 or later, through psycopg 3: many writers, each with a session of its own."""
