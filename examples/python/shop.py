"""A tiny shop: an order and the job that paints it are made in one transaction.

    DATABASE_URL=postgres://… FALCONER_URL=http://127.0.0.1:4800 FALCONER_KEY=flc_… python shop.py "an owl"
"""

import os
import sys
import urllib.request

import psycopg
from psycopg.types.json import Json


class Declined(Exception):
    pass


def charge(card):
    """Stands for whatever else may fail while an order is taken."""
    if card == "declined":
        raise Declined


def take_order(connection, number, prompt, card):
    """Takes an order. Either both the order and its job are there afterwards, or neither."""
    with connection.transaction():
        connection.execute("insert into shop_orders (number, prompt) values (%s, %s)", (number, prompt))
        (job,) = connection.execute(
            """
            select falconer.submit_job(
                project         => 'default',
                model           => 'fal-ai/flux/schnell',
                input           => %(input)s,
                tags            => array['shop', 'python'],
                idempotency_key => %(key)s,   -- however often this is repeated, the order has one job
                notify          => true       -- sent at once after the commit, not within a second
            )
            """,
            {"input": Json({"prompt": prompt}), "key": f"python order {number}"},
        ).fetchone()
        connection.execute("update shop_orders set job = %s where number = %s", (job, number))
        charge(card)  # An exception here takes back the order and the job.
    return job


def read(path):
    request = urllib.request.Request(
        os.environ["FALCONER_URL"] + path,
        headers={"Authorization": "Bearer " + os.environ["FALCONER_KEY"]},
    )
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def main(prompt):
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("create table if not exists shop_orders (number int primary key, prompt text, job uuid)")
        (last,) = connection.execute("select coalesce(max(number), 0) from shop_orders").fetchone()
        try:
            take_order(connection, last + 1, prompt, card="declined")
        except Declined:
            print("declined: no order, no job")
        job = take_order(connection, last + 1, prompt, card="valid")
        print("job", job)
    read(f"/v1/jobs/{job}/wait?timeout=30s")
    print("result", read(f"/v1/jobs/{job}/result"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "an owl")
