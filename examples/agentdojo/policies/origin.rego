# METADATA
# title: Origin
# description: |
#   Words for where the value of an argument came from, read from `input.flow` (see `openclaw.flow`). A value that the
#   flow says nothing about has no origin: none of these rules holds for it, so nothing is allowed because of it.
package origin

import rego.v1

# METADATA
# description: Was a value given for this argument at all?
given(arg) if {
	value := input.tool.args[arg]
	not value in {null, ""}
}

# METADATA
# description: The user said it, or a source in which no outsider can write.
vouched(arg) if input.flow.args[arg].trust == "trusted"

# METADATA
# description: It, or a part of it, was taken from what outsiders can write.
tainted(arg) if input.flow.args[arg].trust == "untrusted"

# METADATA
# description: The whole value stood in the results of one of these tools.
stood_in(arg, tools) if {
	input.flow.args[arg].whole
	some tool in input.flow.args[arg].seen_in
	tool in tools
}

# METADATA
# description: It was the whole value of one of these members of a structured result, such as `read_inbox.sender`.
was_field(arg, fields) if {
	some name in input.flow.args[arg].fields
	name in fields
}

# METADATA
# description: Both values stood whole in the results of one of these tools.
stood_together(one, other, tools) if {
	some tool in tools
	stood_in(one, {tool})
	stood_in(other, {tool})
}

# METADATA
# description: It holds a part of one of these kinds that nobody who is vouched for has written.
has_part(arg, kinds) if {
	some part in input.flow.args[arg].parts
	part.kind in kinds
}

# METADATA
# description: It holds a part of one of these kinds that was read, and in the results of none of these tools.
has_part_read_outside(arg, kinds, tools) if {
	some part in input.flow.args[arg].parts
	part.kind in kinds
	some _ in part.seen_in
	not _overlap(part.seen_in, tools)
}

_overlap(names, tools) if {
	some name in names
	name in tools
}

# METADATA
# description: Kinds of parts that lead out of the company.
leads := {"url", "host", "email", "iban"}
