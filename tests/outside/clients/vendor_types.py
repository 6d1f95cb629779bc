"""What the types of `vcf-nsx`, which NSX's makers generate from their specification, make of a body."""

import json

from vcf.nsx import model_client
from vmware.vapi.bindings import type as bindings
from vmware.vapi.bindings.converter import RestConverter, TypeConverter
from vmware.vapi.data.serializers.cleanjson import DataValueConverter
from vmware.vapi.exception import CoreException


def faults(kind, body, at=""):
    """Decodes a body as a type and everything in it as the type it says it is of; tells what does not fit."""
    cls = getattr(model_client, kind, None)
    if cls is None:
        return [f"{at}: vcf-nsx has no type {kind}"]
    return list(_object(cls, body, at))


def decode(cls, body):
    """A value of a generated class, from JSON."""
    read = DataValueConverter.convert_to_data_value(json.dumps(body))
    return TypeConverter.convert_to_python(read, cls.get_binding_type(), rest_converter_mode=RestConverter.SWAGGER_REST)


def encode(value):
    """What that value is as JSON; refuses values of another kind than the class declares."""
    written = TypeConverter.convert_to_vapi(
        value, type(value).get_binding_type(), rest_converter_mode=RestConverter.SWAGGER_REST
    )
    return json.loads(DataValueConverter.convert_to_json(written))


def _object(cls, body, at):
    if not isinstance(body, dict):
        yield f"{at}: no {cls.__name__} but {json.dumps(body)}"
        return
    cls = _named(cls, body)
    if cls is None:
        yield f"{at}: {body.get('resource_type')} is no type that can stand here"
        return
    fields = cls.get_binding_type()
    try:
        value = decode(cls, body)
    except (CoreException, AttributeError, TypeError, ValueError) as error:
        yield f"{at}: cannot be read as {cls.__name__}: {_first(error)}"
        return
    extra = sorted(value._get_extra_fields())
    for name in extra:
        yield f"{at}.{name}: {cls.__name__} has no such field"
    known = {name: member for name, member in body.items() if name not in extra}
    yield from _round_trip(cls, known, at)
    for name, member in known.items():
        yield from _member(fields.get_field(name), member, f"{at}.{name}")


def _round_trip(cls, body, at):
    """What was decoded is the same when it is encoded again: no text was made of a number, nothing was dropped."""
    try:
        back = encode(decode(cls, body))
    except (CoreException, AttributeError, TypeError, ValueError) as error:
        yield f"{at}: is not a {cls.__name__}: {_first(error)}"
        return
    for name, member in body.items():
        if json.dumps(back.get(name), sort_keys=True) != json.dumps(member, sort_keys=True):
            yield f"{at}.{name}: {json.dumps(member)} became {json.dumps(back.get(name))}"


def _member(kind, value, at):
    if isinstance(kind, bindings.OptionalType):
        yield from _member(kind.element_type, value, at)
    elif isinstance(kind, bindings.ListType) and isinstance(value, list):
        for position, item in enumerate(value):
            yield from _member(kind.element_type, item, f"{at}[{position}]")
    elif isinstance(kind, bindings.DynamicStructType):
        yield from _object(None, value, at)
    elif isinstance(kind, bindings.ReferenceType):
        yield from _object(kind.resolved_type.binding_class, value, at)


def _named(cls, body):
    """The class that a body names by its `resource_type`, if it has all that the declared one has."""
    name = body.get("resource_type")
    named = getattr(model_client, name, None) if isinstance(name, str) else None
    if cls is None:
        return named
    if named is None:
        return cls if name is None else None
    declared, own = (set(c.get_binding_type().get_field_names()) for c in (cls, named))
    return named if declared <= own else None


def _first(error):
    """The first line of what a decoder says."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
