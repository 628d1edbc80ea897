package openclaw.policies.desk

import rego.v1

allow if input.kind in {"model", "handoff"}

allow if {
	input.tool.name == "lookup_order"
	"reader" in input.principal.roles
}

allow if {
	input.tool.name == "refund"
	"payer" in input.principal.roles
}

# Without this a person would be asked: any deny denies, else any ask asks, and only then it matters what is allowed.
deny contains "only payers refund" if {
	input.tool.name == "refund"
	not "payer" in input.principal.roles
}

ask contains "a refund over 100 needs a person" if {
	input.tool.name == "refund"
	input.tool.args.amount > 100
}

deny contains "a refund is of an order that the customer or our own records name" if {
	input.tool.name == "refund"
	input.flow.args.order.trust != "trusted"
}
