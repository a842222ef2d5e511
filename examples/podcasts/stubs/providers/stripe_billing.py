"""What Stripe keeps: customers, invoice items and invoices, and the rules between them."""

import copy
import secrets
import time
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

from podcasts.stubs.providers.provider import ProviderError

Form: TypeAlias = Mapping[str, Any]
"""Decoded form fields: strings, and `metadata` as a mapping of strings."""
StripeObject: TypeAlias = dict[str, Any]

_DAY = 86_400


class Billing:
    """Customers, invoice items and invoices in memory. What is returned is a copy, and stays as it was."""

    def __init__(self) -> None:
        """Start empty."""
        self._customers: dict[str, StripeObject] = {}
        self._items: dict[str, StripeObject] = {}
        self._invoices: dict[str, StripeObject] = {}

    def create_customer(self, form: Form) -> StripeObject:
        """Make a customer of `name`, `email` and `description`, all optional."""
        customer = _new("customer", "cus", form) | {
            "balance": 0,
            "currency": None,
            "delinquent": False,
            "description": form.get("description"),
            "email": form.get("email"),
            "invoice_prefix": secrets.token_hex(4).upper(),
            "name": form.get("name"),
            "next_invoice_sequence": 1,
        }
        self._customers[customer["id"]] = customer
        return copy.deepcopy(customer)

    def create_item(self, form: Form) -> StripeObject:
        """Make an invoice item on a draft `invoice`, or pending until the next invoice that includes such items."""
        customer = self._customer(form)
        amount = _integer(form, "amount")
        invoice = self._find_invoice(form["invoice"], param="invoice") if form.get("invoice") else None
        if invoice is not None and invoice["status"] != "draft":
            _refuse("Items can be added to a draft invoice only.", "invoice", "invoice_not_editable")
        item = _new("invoiceitem", "ii", form)
        item |= {
            "amount": amount,
            "currency": form.get("currency", "usd").lower(),
            "customer": customer["id"],
            "date": item.pop("created"),
            "description": form.get("description"),
            "invoice": invoice and invoice["id"],
            "quantity": 1,
        }
        self._items[item["id"]] = item
        if invoice is not None:
            self._total(invoice)
        return copy.deepcopy(item)

    def create_invoice(self, form: Form) -> StripeObject:
        """Make a draft; pending items join it only with `pending_invoice_items_behavior=include`."""
        customer = self._customer(form)
        invoice = _new("invoice", "in", form)
        created = invoice["created"]
        days = _integer(form, "days_until_due") if form.get("days_until_due") else None
        invoice |= {
            "amount_paid": 0,
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": form.get("auto_advance", "true") == "true",
            "billing_reason": "manual",
            "collection_method": form.get("collection_method", "charge_automatically"),
            "currency": form.get("currency", "usd").lower(),
            "customer": customer["id"],
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "description": form.get("description"),
            "due_date": created + days * _DAY if days is not None else None,
            "hosted_invoice_url": None,
            "invoice_pdf": None,
            "number": None,
            "period_end": created,
            "period_start": created,
            "status": "draft",
            "status_transitions": dict.fromkeys(
                ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at"), None
            ),
        }
        self._invoices[invoice["id"]] = invoice
        if form.get("pending_invoice_items_behavior") == "include":
            for item in self._items.values():
                if item["customer"] == customer["id"] and item["invoice"] is None:
                    item["invoice"] = invoice["id"]
        self._total(invoice)
        return copy.deepcopy(invoice)

    def finalize(self, invoice_id: str, _form: Form) -> StripeObject:
        """Turn a draft into an open invoice with a number; one without anything to pay is paid at once."""
        invoice = self._find_invoice(invoice_id)
        if invoice["status"] != "draft":
            _refuse("This invoice is already finalized.", "invoice", "invoice_not_editable")
        customer = self._customers[invoice["customer"]]
        now = int(time.time())
        address = f"https://invoice.stripe.com/i/{invoice_id}"
        invoice["number"] = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
        invoice["status"] = "open" if invoice["total"] else "paid"
        invoice["status_transitions"]["finalized_at"] = now
        invoice["status_transitions"]["paid_at"] = None if invoice["total"] else now
        invoice["hosted_invoice_url"] = address
        invoice["invoice_pdf"] = f"{address}/pdf"
        customer["next_invoice_sequence"] += 1
        return copy.deepcopy(invoice)

    def invoice(self, invoice_id: str) -> StripeObject:
        """Return the invoice; `ProviderError` 404 when there is none."""
        return copy.deepcopy(self._find_invoice(invoice_id))

    def _find_invoice(self, invoice_id: str, *, param: str = "id") -> StripeObject:
        if invoice_id not in self._invoices:
            _miss("invoice", invoice_id, param, status=400 if param == "invoice" else 404)
        return self._invoices[invoice_id]

    def _customer(self, form: Form) -> StripeObject:
        customer_id = _required(form, "customer")
        if customer_id not in self._customers:
            _miss("customer", customer_id, "customer", status=400)
        return self._customers[customer_id]

    def _total(self, invoice: StripeObject) -> None:
        items = [item for item in self._items.values() if item["invoice"] == invoice["id"]]
        total = sum(item["amount"] for item in items)
        for field in ("amount_due", "amount_remaining", "subtotal", "total"):
            invoice[field] = total
        invoice["lines"] = {
            "object": "list",
            "data": [_line(item) for item in items],
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/invoices/{invoice['id']}/lines",
        }


def _new(kind: str, prefix: str, form: Form) -> StripeObject:
    return {
        "id": f"{prefix}_{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "livemode": False,
        "metadata": dict(form["metadata"]),
    }


def _line(item: StripeObject) -> StripeObject:
    same = ("amount", "currency", "description", "invoice", "livemode", "metadata", "quantity")
    parent = {"type": "invoice_item_details", "invoice_item_details": {"invoice_item": item["id"]}}
    return {
        "id": f"il_{item['id'].removeprefix('ii_')}",
        "object": "line_item",
        "parent": parent,
        "period": {"start": item["date"], "end": item["date"]},
        **{field: item[field] for field in same},
    }


def _required(form: Form, field: str) -> str:
    if not form.get(field):
        _refuse(f"Missing required param: {field}.", field, "parameter_missing")
    return str(form[field])


def _integer(form: Form, field: str) -> int:
    try:
        return int(_required(form, field))
    except ValueError:
        _refuse(f"Invalid integer: {form[field]}", field, "parameter_invalid_integer")


def _refuse(message: str, param: str, code: str) -> NoReturn:
    raise ProviderError(400, message, type="invalid_request_error", param=param, code=code)


def _miss(kind: str, object_id: str, param: str, *, status: int) -> NoReturn:
    message = f"No such {kind}: '{object_id}'"
    raise ProviderError(status, message, type="invalid_request_error", param=param, code="resource_missing")
