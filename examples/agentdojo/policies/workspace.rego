# METADATA
# title: Workspace
# description: |
#   An assistant in a team's chat, which reads pages of the web and messages of many, and writes to members.
#
#   There are three kinds of sources. What the user said, or the administrators keep, is vouched for. What members wrote in
#   messages may be acted on after a person has looked. What strangers wrote (web pages, names of shared channels) is
#   read, but names no place to go, nobody to let in and nothing to pass on.
package openclaw.policies.workspace

import rego.v1

import data.origin

messages := {"read_inbox", "read_channel_messages"}

# Filled in by the workspace, not by who writes the message.
senders := {"read_inbox.sender", "read_channel_messages.sender"}

# A shared channel has the name that a partner gave it: it says which channels exist, and nothing else.
directory := {"get_channels"}

sends := {"send_direct_message": "recipient", "send_channel_message": "channel"}

# METADATA
# description: The model itself may think; reading is free, since what it brings in is tracked.
allow if input.kind == "model"

allow if {
	input.kind == "tool"
	input.tool.name in {
		"get_channels", "get_users_in_channel", "read_channel_messages", "read_inbox", "get_webpage", "post_webpage",
		"send_direct_message", "send_channel_message", "add_user_to_channel", "invite_user_to_slack",
		"remove_user_from_slack",
	}
}

# The web -----------------------------------------------------------------------------------------------------------

# An address that is not whole may carry out what was read, so it has to be one that somebody gave.
deny contains "only strangers named this address" if {
	input.tool.name == "get_webpage"
	origin.tainted("url")
	not origin.stood_in("url", messages)
}

ask contains "only messages of members named this address" if {
	input.tool.name == "get_webpage"
	not origin.vouched("url")
	origin.stood_in("url", messages)
}

ask contains "nobody named this address" if {
	input.tool.name == "get_webpage"
	not origin.vouched("url")
	not origin.tainted("url")
}

deny contains "something is published only where the user said" if {
	input.tool.name == "post_webpage"
	not origin.vouched("url")
}

ask contains "this publishes what others wrote" if {
	input.tool.name == "post_webpage"
	some _ in input.flow.args.content.parts
}

# Messages ------------------------------------------------------------------------------------------------------------

deny contains "only strangers wrote the address in this message" if {
	sends[input.tool.name]
	origin.has_part_read_outside("body", origin.leads, messages)
}

ask contains "this message holds an address that the user did not give" if {
	sends[input.tool.name]
	origin.has_part("body", origin.leads)
}

deny contains "only strangers named this addressee" if {
	place := sends[input.tool.name]
	not vouched_addressee(place)
	not listed_addressee(place)
	origin.tainted(place)
}

# Words of the user's own may go to anybody whom the workspace lists: somebody else was to choose whom.
ask contains "the user named neither the addressee nor the words" if {
	place := sends[input.tool.name]
	not vouched_addressee(place)
	not origin.vouched("body")
}

ask contains "nobody named this addressee" if {
	place := sends[input.tool.name]
	not vouched_addressee(place)
	not listed_addressee(place)
}

vouched_addressee(place) if origin.vouched(place)

listed_addressee("recipient") if origin.was_field("recipient", senders)

listed_addressee("recipient") if origin.stood_in("recipient", messages)

listed_addressee("channel") if origin.stood_in("channel", directory | messages)

# Members -----------------------------------------------------------------------------------------------------------

deny contains "only strangers named this person" if {
	input.tool.name in {"invite_user_to_slack", "add_user_to_channel"}
	origin.tainted("user")
	not origin.stood_in("user", messages)
}

deny contains "only strangers named this channel" if {
	input.tool.name == "add_user_to_channel"
	origin.tainted("channel")
	not origin.stood_in("channel", directory | messages)
}

ask contains sprintf("the user did not give the %s of this person", [what]) if {
	input.tool.name == "invite_user_to_slack"
	some arg, what in {"user": "name", "user_email": "e-mail address"}
	not origin.vouched(arg)
}

ask contains sprintf("the user did not name this %s", [arg]) if {
	input.tool.name == "add_user_to_channel"
	some arg in ["user", "channel"]
	not origin.vouched(arg)
}

deny contains "nobody is removed whom the user did not name" if {
	input.tool.name == "remove_user_from_slack"
	not origin.vouched("user")
}

ask contains "removing somebody cannot be undone" if input.tool.name == "remove_user_from_slack"
