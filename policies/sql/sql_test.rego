package openclaw.policies.sql_test

import rego.v1

import data.openclaw.policies.sql

denied_by(settings, text) := reasons if {
	request := {"kind": "tool", "tool": {"name": "query", "args": {"sql": text}}}
	reasons := sql.deny with input as request with data.sql as settings
}

denied(text) := denied_by({"forbidden": ["Salaries"]}, text)

writing(text) := denied_by({"statements": ["select", "insert", "update", "delete"]}, text)

misset(value) := reasons if {
	reasons := sql.deny with input as {"kind": "model"} with data.sql as value
}

word(name) := {sprintf("the statement in sql holds the word %v, which is forbidden", [name])}

several := "the statement in sql holds comments, escapes or several statements"

kind := "the statement in sql is of a kind that is not allowed"

test_reading_is_free if {
	denied("select name from orders where id = 1") == set()
	denied("  SELECT updated_at, offset_in_file\nFROM orders;") == set()
}

test_only_allowed_statements_are_made if {
	denied("drop table orders") == word("drop") | {kind}
	denied("(select 1)") == {kind}
	denied("") == {kind}
	denied("with x as (delete from orders returning *) select * from x") == word("delete") | {kind}
}

test_one_statement_without_comments if {
	denied("select 1; select 2") == {several}
	denied("select 1;;") == {several}
	denied("select 1 -- , 2") == {several}
	denied("select 1 /* x */") == {several}
	denied(`select '\''`) == {several}
	denied("select 1; DROP TABLE orders") == word("drop") | {several}
}

test_words_that_reach_out_are_forbidden if {
	denied("select * into outfile 'x' from orders") == word("into") | word("outfile")
	denied("select pg_sleep(9)") == word("pg_sleep")
	denied("select * from salaries") == word("salaries")
	denied("select*from(SALARIES)") == word("salaries")
}

test_writing_is_allowed_where_it_is_named if {
	writing("insert into orders values (1)") == set()
	writing("update orders set a = 1 where id = 2") == set()
	writing("delete from orders where id = 2") == set()
	writing("select * from orders for update") == word("update")
}

test_no_statement_changes_every_row if {
	reason := {"the statement in sql would change every row: it has no `where`"}
	writing("delete from orders") == reason
	writing("update orders set a = 1") == reason
}

test_what_is_no_statement_is_denied if {
	denied(5) == {"the argument sql is not a statement"}
	denied(["select 1"]) == {"the argument sql is not a statement"}
	denied(null) == set()
}

test_without_settings_only_reading_is_free if {
	denied_by({}, "select 1") == set()
	denied_by({}, "delete from orders where true") == word("delete") | {kind}
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.sql are not an object"}
	misset({"statement": []}) == {"the setting data.sql.statement is unknown or of the wrong type"}
	misset({"forbidden": [1]}) == {"the setting data.sql.forbidden is not a list of texts"}
	misset({"tools": {"query": "sql"}}) == {"the setting data.sql.tools.query is not a list of names"}
	misset({"tools": {"query": [1]}}) == {"the setting data.sql.tools.query is not a list of names"}
}
