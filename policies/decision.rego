package openclaw
import rego.v1
default decision := {"effect":"deny","reasons":["no policy allows this"],"rules":[],"obligations":[]}
_deny contains [name, r] if { some name; some r in data.openclaw.policies[name].deny }
_allow contains name if { some name; data.openclaw.policies[name].allow == true }
decision := {"effect":"deny","reasons":[r|some [_,r] in _deny],"rules":[x|some [n,_] in _deny; x:=sprintf("policies.%s.deny",[n])],"obligations":[]} if count(_deny)>0
decision := {"effect":"allow","reasons":[],"rules":[n|some n in _allow],"obligations":[]} if {count(_deny)==0; count(_allow)>0}
