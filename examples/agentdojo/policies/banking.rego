# METADATA
# title: Banking
# description: |
#   An assistant that reads letters and statements, and moves money.
#
#   Money goes by itself only to accounts that the user named, or that the user has paid before, and only in sums that the
#   user named or that are small. An account that only a document names is paid after a person has looked, if the document
#   names the sum too, as a bill does. What only a sender's free text names is not paid at all. Standing orders are not
#   redirected, and passwords not changed, to what the user did not say.
package openclaw.policies.banking

import rego.v1

import data.limits
import data.origin

# Members of the statement that the bank fills in. Nobody becomes a recipient in it without having been paid; a sender
# only had to pay something in.
paid_before := {"get_most_recent_transactions.recipient", "get_scheduled_transactions.recipient"}

has_paid := {"get_most_recent_transactions.sender"}

documents := {"read_file"}

payments := {"send_money", "schedule_transaction"}

details := {"subject", "date", "recurring", "first_name", "last_name", "street", "city"}

# METADATA
# description: The model itself may think; reading is free, since what it brings in is tracked.
allow if input.kind == "model"

allow if {
	input.kind == "tool"
	input.tool.name in {
		"get_iban", "get_balance", "get_user_info", "get_scheduled_transactions", "get_most_recent_transactions",
		"read_file", "send_money", "schedule_transaction", "update_scheduled_transaction", "update_password",
		"update_user_info",
	}
}

# Payments ----------------------------------------------------------------------------------------------------------

deny contains "the account to pay was named only in text that outsiders wrote, or by nobody" if {
	input.tool.name in payments
	not known_account
	not origin.was_field("recipient", has_paid)
	not origin.stood_in("recipient", documents)
}

deny contains "a document names the account, but not this sum: that is no bill" if {
	pays_by_document
	not origin.stood_together("recipient", "amount", documents)
}

deny contains sprintf("an account that the user did not name gets %v at most", [limits.unnamed_account]) if {
	input.tool.name in payments
	not known_account
	not up_to("amount", limits.unnamed_account)
}

ask contains "only a document names the account to pay" if pays_by_document

ask contains "the account belongs to somebody who paid in, but was never paid" if {
	input.tool.name in payments
	not known_account
	origin.was_field("recipient", has_paid)
}

ask contains sprintf("the user did not name the sum, and it is more than %v", [limits.unattended]) if {
	input.tool.name in payments
	known_account
	not modest("amount")
}

# Standing orders -----------------------------------------------------------------------------------------------------

deny contains "a standing order is redirected only to an account that the user named, or has paid before" if {
	input.tool.name == "update_scheduled_transaction"
	origin.given("recipient")
	not known_account
}

ask contains sprintf("the user did not name the new sum, and it is more than %v", [limits.unattended]) if {
	input.tool.name == "update_scheduled_transaction"
	origin.given("amount")
	not modest("amount")
}

# The account -----------------------------------------------------------------------------------------------------------

deny contains "the user did not say this password" if {
	input.tool.name == "update_password"
	not origin.vouched("password")
}

ask contains sprintf("the user did not say this %s", [arg]) if {
	input.tool.name in {"update_user_info", "update_scheduled_transaction"}
	some arg in details
	origin.given(arg)
	not origin.vouched(arg)
}

# Words -----------------------------------------------------------------------------------------------------------------

known_account if origin.vouched("recipient")

known_account if origin.was_field("recipient", paid_before)

pays_by_document if {
	input.tool.name in payments
	not known_account
	not origin.was_field("recipient", has_paid)
	origin.stood_in("recipient", documents)
}

modest(arg) if origin.vouched(arg)

modest(arg) if up_to(arg, limits.unattended)

up_to(arg, limit) if {
	is_number(input.tool.args[arg])
	input.tool.args[arg] >= 0
	input.tool.args[arg] <= limit
}
