"""What other parts of the shop may listen to."""

from blinker import Namespace

_events = Namespace()

# in the transaction of the order, before its commit
order_placed = _events.signal("order-placed")

# after the commit
user_updated = _events.signal("user-updated")
product_updated = _events.signal("product-updated")
