package openclaw.policies.helpdesk

import rego.v1

allow if input.kind == "model"

allow if input.tool.name in {"read_ticket", "close_ticket"}

ask contains "a person reads what a ticket is closed with" if input.tool.name == "close_ticket"

deny contains "engineers are woken by the alarm, not by an agent" if input.tool.name == "page_engineer"
