"""The functions of Rego: how many arguments each takes, and what type it gives.

Source: the capabilities that Open Policy Agent 1.22 declares (``opa capabilities --current``), without its operators and
without what Rego v1 has removed; a test compares them. Engines lack some of these, and say so when they load a policy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its number of arguments, and the type of its result in Rego's words, or ``any``."""

    arity: int
    result: str


_TABLE = """
0 any: rego.metadata.rule
0 array: rego.metadata.chain
0 number: time.now_ns
0 object: opa.runtime
1 any: json.unmarshal max min yaml.unmarshal
1 array: array.flatten array.reverse crypto.parse_private_keys crypto.x509.parse_and_verify_certificates
  crypto.x509.parse_certificates io.jwt.decode json.verify_schema sort time.clock time.date walk
1 boolean: base64.is_valid graphql.schema_is_valid is_array is_boolean is_null is_number is_object is_set
  is_string json.is_valid net.cidr_is_valid regex.is_valid semver.is_valid trace uri.is_valid yaml.is_valid
1 number: abs bits.negate ceil count floor product round sum time.parse_duration_ns time.parse_rfc3339_ns
  to_number units.parse units.parse_bytes
1 object: crypto.x509.parse_certificate_request crypto.x509.parse_rsa_private_key graphql.parse_query
  graphql.parse_schema http.send object.union_n uri.parse urlquery.decode_object uuid.parse
1 set: intersection net.cidr_expand net.cidr_merge net.lookup_ip_addr object.keys union
1 string: base64.decode base64.encode base64url.decode base64url.encode base64url.encode_no_pad crypto.md5
  crypto.sha1 crypto.sha256 glob.quote_meta hex.decode hex.encode json.marshal lower strings.reverse time.format
  time.weekday trim_space type_name upper urlquery.decode urlquery.encode urlquery.encode_object uuid.rfc4122
  yaml.marshal
2 any: json.patch
2 array: array.concat crypto.x509.parse_and_verify_certificates_with_options graphql.parse
  graphql.parse_and_verify indexof_n io.jwt.decode_verify json.match_schema numbers.range regex.split split
  time.diff
2 boolean: contains crypto.hmac.equal endswith graphql.is_valid io.jwt.verify_eddsa io.jwt.verify_es256
  io.jwt.verify_es384 io.jwt.verify_es512 io.jwt.verify_hs256 io.jwt.verify_hs384 io.jwt.verify_hs512
  io.jwt.verify_ps256 io.jwt.verify_ps384 io.jwt.verify_ps512 io.jwt.verify_rs256 io.jwt.verify_rs384
  io.jwt.verify_rs512 net.cidr_contains net.cidr_intersects object.subset regex.globs_match regex.match
  startswith strings.any_prefix_match strings.any_suffix_match
2 number: bits.and bits.lsh bits.or bits.rsh bits.xor indexof rand.intn semver.compare strings.count
  time.parse_ns
2 object: crypto.x509.parse_keypair json.filter json.remove object.filter object.remove object.union
  rego.parse_module
2 set: graph.reachable graph.reachable_paths net.cidr_contains_matches
2 string: concat crypto.hmac.md5 crypto.hmac.sha1 crypto.hmac.sha256 crypto.hmac.sha512 format_int
  json.marshal_with_options sprintf strings.render_template strings.replace_n trim trim_left trim_prefix
  trim_right trim_suffix
3 any: object.get
3 array: array.slice numbers.range_step regex.find_all_string_submatch_n regex.find_n strings.split_n
3 boolean: glob.match
3 object: providers.aws.sign_req
3 string: io.jwt.encode_sign io.jwt.encode_sign_raw regex.replace replace substring
4 boolean: regex.template_match
4 number: time.add_date
"""
"""By number of arguments and type of the result."""


def _read() -> dict[str, Function]:
    found: dict[str, Function] = {}
    for line in _TABLE.replace("\n  ", " ").strip().splitlines():
        kind, names = line.split(": ", 1)
        arity, result = kind.split()
        found |= {name: Function(int(arity), result) for name in names.split()}
    return found


FUNCTIONS = _read()
"""Every function by its name. ``print`` is not among them: it takes any number of arguments and gives nothing."""

OPERATORS = frozenset(
    {"and", "assign", "div", "eq", "equal", "gt", "gte", "lt", "lte", "minus", "mul", "neq", "or", "plus", "rem"}
)
"""Names under which operators are functions: no rule may be called so."""

REMOVED = frozenset(
    {"all", "any", "cast_array", "cast_boolean", "cast_null", "cast_object", "cast_set", "cast_string"}
    | {"net.cidr_overlap", "re_match", "set_diff"}
)
"""Functions that Rego v1 has no longer."""

INSTEAD = "Rego v1 has it no longer: write `some … in` or `every … in`, or compare the type"
"""What to do about a call of one of them."""
