"""Plain English words: those without meaning of their own here, everyday ones, and those of other languages."""

from __future__ import annotations

from serving.planning.normalise import stem


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION = _set("""
a an the this that these those it its they them their theirs there here we us our ours i me you your yours he
she his her him is are was were be been being am do does did done doing have has had having can could will would shall
may might must of in on at to for from by with within into onto over under up down out as and but if then than so
too also just only please kindly thanks thank hello hi hey dear ok okay what which who whom whose where when how many
much get gets got give given show shows shown tell list display find see view want wanted need needs know let lets
like
let's could about around any some all overall total altogether both such said via through across
during ever still already now really actually basically currently exactly roughly approximately around quick
quickly question data number numbers count counts counted figure figures value values amount amounts quantity stats
statistic statistics figure report reported us ones one kind sort way ways me look looking check make made happen
happened happens happening occur occurred go going goes went come comes came coming take takes took taken put yet
""")
"""Words that may be passed over: leaving one out never changes what is asked."""

TELLING = _set("not no never without except excluding exclude non neither nor none nobody other else")
"""Words that turn a meaning round: never passed over."""

COMMON = _set("""
able above accept account act action add after agree air allow almost alone along always among amount angry animal
another answer anyone anything appear apply area argue arm army around arrive art ask attack baby back bad bag ball
bank bar base basic bear beat beautiful because become bed before began begin behind believe below best better between
beyond big bit black blue board boat body book born box boy break bring broken brother brown build building burn bus
business busy buy call cannot car card care carry case catch cause center certain chair chance change character charge
cheap check child choose city class clean clear client close clothes cloud cold collect color comment common company
compare complete computer consider contain continue control cook cool copy correct cost country course cover create
cross cry cup customer cut dance danger dark daughter day dead deal dear death decide deep degree deliver delivery
design desk detail die different difficult dinner direct discuss doctor dog door double doubt draw dream dress drink
drive drop dry due ear early earth easy eat edge effect egg eight either electric else email empty end engine english
enjoy enough enter equal error even evening event ever every example excellent expect expensive explain eye face fact
fair fall family famous far farm fast father favor fear feel few field fight fill film final find fine finger finish
fire first fish fit five fix floor fly follow food foot force foreign forget form forward found four free fresh friend
front full fun game garden general girl glad glass god gold good grand great green ground group grow guess half hand
hang happy hard hat hate head health hear heart heat heavy help high hill history hit hold hole home hope horse
hospital
hot hotel hour house however human hundred hurt idea important inside instead interest island issue job join jump keep
key kill king kitchen knee lady land language large last late later laugh law lay lead learn least leave left leg less
letter level lie life light likely line lion listen little live local long lose lost loud love low luck lunch machine
mail main man manager map mark market matter mean measure meat meet member mention message middle might mile milk mind
minute miss mistake moment money month moon morning most mother mountain mouth move movie music name nature near
nearly
necessary neck never new news next nice night noise normal north nose note notice object ocean offer office often oil
old once open opinion order ought own owner page pain paint pair paper parent park part party pass past pay peace pen
people perfect perhaps period person phone pick picture piece place plan plane plant play pleasure point police poor
popular position possible power practice prepare present press pretty price print private probably problem produce
product program promise proper protect proud prove provide public pull push quality quarter queen question quick quiet
quite race rain raise rate rather reach read ready real reason receive record red refund region regular remain
remember
repair repeat reply request rest result return rich ride right ring rise river road rock roll room round rule run safe
sail sale salt same sand save say school science sea search season seat second secret seem sell send sense sentence
separate serious serve service set settle seven several shade shake shape share sharp ship shirt shoe shop short
should shoulder shout shut sick side sign silent silver similar simple since sing single sister sit six size skill
skin
sky sleep slow small smell smile smoke snow social soft soldier solve someone something sometimes son song soon sorry
sound south space speak special spend spoon sport spot spread spring square staff stage stand standard star start
state
station stay steal step stick stone stop store storm story straight strange street strong student study stuff subject
succeed success sudden sugar suggest suit summer sun supply support suppose sure surface surprise sweet swim system
table talk task taste teach teacher team tear ten term test thank thick thin thing think third though thousand three
throw ticket tie time tire together tomorrow tonight tool top topic touch tough toward town trade train travel tree
trip trouble true trust truth try turn twelve twenty two type understand union until upon urgent use useful user usual
value very video view village visit voice wait walk wall war warm wash waste watch water weak wear weather web website
week weight welcome well west wet white whole why wide wife wild win wind window wine winter wise wish woman wonder
wood
weekday weekdays weekend weekends morning afternoon night midnight noon daytime older newer younger bigger smaller
higher lower faster slower longer shorter busier quieter better cheaper earlier
sooner later fewer more most least than spam excluding including except besides without versus apart rather instead
again twice often seldom rarely usually typical typically normally recent recently mostly mainly both either neither
raised filed submitted received handled answered replied waiting waited written wrote sent came gone done made taken
whether while since until unless because therefore maybe perhaps possibly certainly obviously employee employees staff
boss manager ceo office building laptop printer coffee lunch meeting meetings project projects invoice invoices
payment
payments order orders parcel parcels login logins password passwords camera cameras battery batteries app apps
date dates number fiscal word work world worry worse worst worth write wrong yard year yellow yes yesterday yet young
zero
band throughout centre media changed lived spent writing collection stated previously scored score contract contracts
meant noted completely carried cast commander failed closer filled sitting supported vice chart charts issued competed
fully conducted titled connected shared revolution resulting convention rising bands handle handles chase contained
delivered committed compete wanting waist moth emerged voiced statue commanded filmed collections replacing completion
scent seed speed partly competing fled supporter supporters tiger finnish relegated forum forums sole connecting
contested requested fist first relocated sized size filming globe tigers lined march convicted failing filling seeds
interaction interactions relaxed receiver receivers commenced quartet commentary transformed centres precious privately
closet computing feast settling heath flown conviction seating scorer complained transform transforms contracted moist
rely relies relying liner liver critically statues averaged commanders striker regulated conventions handing conception
cease tile tiles arise arises arising interval intervals subjected relied positively merge excavation hanover relate
relates caste sore accounted importantly compelled seize replay railing persona customary cheating chant chants linen
diver divers brandy correction corrections wasting incidence contention crate crates connector distinctly negatively
furnished congestion usher hardcover typed informing massage cheat contrasted timed integrating commended depleted
cheated sourced raiding convection raining pasta bran revolutions timer crested trier primate topical speedy castes
responsive lest await realising fling plush iteration handler cremated departmental faulty scents chases compliant
internally
""")
"""Everyday words: one of them is what it is, never a misspelling of something else."""

FOREIGN = _set("""
wie viele viel der die das und ist nicht wir haben letzte letzten letzter woche monat jahr heute gestern welche
welcher
wurden wurde offen offene offenen sind zeige mir bitte anzahl durchschnittliche kunden für mit von vom beim im
combien de des les est sont nous avons dernier derniere semaine mois annee aujourd hier quels quel quelle quelles
clients tickets-ouverts ouverts ouvert montre moi avec pour dans une un au aux été cree crees
cuantos cuantas cuanto el los las es son fueron hay la semana pasada mes ano hoy ayer cuales clientes abiertos
abiertas
muestra con por para del una creados
quanti quante quanto il lo gli sono stati stato settimana scorsa mese anno oggi ieri quali aperti con nella nel della
quantos quantas foram os dos das semana passada ontem hoje quais abertos com não são
hoeveel het een zijn werden vorige vorig afgelopen gisteren vandaag welke klanten geopend van wij
ile jest kilka biletow ostatni tydzien ilu hur många förra veckan hvor mange siste uke kaç tane geçen hafta
""")
"""Frequent words of other languages, to say so instead of guessing."""
FOREIGN_ONLY = frozenset(word for word in FOREIGN if word not in FUNCTION and word not in COMMON) - {
    "die",
    "son",
    "am",
    "hat",
}

_STEMS = frozenset(stem(word) for word in COMMON | FUNCTION | TELLING)


def is_common(word: str) -> bool:
    """Whether the word is everyday English, in singular or plural."""
    return word in COMMON or word in FUNCTION or word in TELLING or stem(word) in _STEMS
