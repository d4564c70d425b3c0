"""The look-ups that an agent makes before it writes: tau-bench's own lists leave many of them out."""

from collections.abc import Iterator
from typing import Any

from benchmarks.customer_service.tau import Call, TauTask, World


def look_ups(domain: str, task: TauTask, world: World) -> Iterator[Call]:
    """Find the customer, and read what of theirs there is; of flights, what is on sale where they fly."""
    user = world.data["users"][task.user_id]
    yield from _found(domain, task, user)
    yield "get_user_details", {"user_id": task.user_id}
    if domain == "retail":
        yield from _orders(user, world)
    else:
        yield from _flights(task, user, world)


def _found(domain: str, task: TauTask, user: Any) -> Iterator[Call]:
    if domain == "retail":
        if user["email"] in task.instruction:
            yield "find_user_id_by_email", {"email": user["email"]}
        elif user["address"]["zip"] in task.instruction:
            yield "find_user_id_by_name_zip", {**user["name"], "zip": user["address"]["zip"]}


def _orders(user: Any, world: World) -> Iterator[Call]:
    products: dict[str, None] = {}
    for order_id in user["orders"]:
        yield "get_order_details", {"order_id": order_id}
        products.update({item["product_id"]: None for item in world.data["orders"][order_id]["items"]})
    for product_id in products:
        yield "get_product_details", {"product_id": product_id}


def _flights(task: TauTask, user: Any, world: World) -> Iterator[Call]:
    for reservation_id in user["reservations"]:
        yield "get_reservation_details", {"reservation_id": reservation_id}
    yield "list_all_airports", {}
    for _, arguments in task.calls:
        if "flights" not in arguments:
            continue
        booked = world.data["reservations"].get(arguments.get("reservation_id"), arguments)
        yield from _searches(arguments["flights"], booked["origin"], booked["destination"], world)


def _searches(flights: Any, origin: str, destination: str, world: World) -> Iterator[Call]:
    """Searches for each flight by itself, and for both ways with a stop."""
    for flight in flights:
        found, date = world.data["flights"][flight["flight_number"]], flight["date"]
        direct = {"origin": found["origin"], "destination": found["destination"], "date": date}
        yield "search_direct_flight", direct
        for start, end in ((origin, destination), (destination, origin)):
            if found["origin"] == start:
                yield "search_onestop_flight", {"origin": start, "destination": end, "date": date}
