"""Who is there: agents with their time at the company, customers, and the organizations they write for."""

from dataclasses import dataclass, field
from random import Random

from infra.local.desk.account import (
    BILLING,
    BUSINESS,
    DELIVERIES,
    ENGINEERING,
    HOST,
    SCHEDULE_AMERICA,
    SCHEDULE_EUROPE,
    TIER_1,
    TIER_2,
    Row,
)
from infra.local.desk.calendar import DAY, iso

GIVEN = (
    "Ada Bram Celia Dario Edda Felix Greta Hugo Ines Jonas Kira Lionel Maeve Nils Orla Piet Quinta Rosa Sven Tilda "
    "Umar Vera Wim Xenia Yara Zeno Amira Bastian Carmen Dilan Elif Farid Gianna Hamid Iris Jamal Kaja Leon Mirela "
    "Noor Oskar Paloma Rafael Sanne Tarek Ulla Viktor Wanda Yusuf Zora Anouk Bela Chiara Dunja Emeka Fiona Goran "
    "Helena Idris Joanna Kwame Linnea Matteo Nadia Obi Petra Ruben Salma Tomas Uma Violet Wes Yoko Zeynep Alma Boris "
    "Clara Davide Esme Frida Gus Hana Ivo June Klaus Lucia Milan Nora Olek Priya Quentin Renata Silas Talia Ugo Vida"
).split()
FAMILY = (
    "Abbott Bergstrom Castellan Dunmore Eastwick Falkner Grunewald Hollister Ivarsson Jankovic Kestrel Lindqvist "
    "Marchetti Norwood Okonjo Pemberton Quist Rademaker Sandoval Thackeray Ustinov Vandermeer Whitlock Xander Yilmaz "
    "Zielinski Ashdown Brightwater Corvino Delacroix Ellery Fairbairn Goldfinch Harrowgate Isherwood Jorgensen Kilbride "
    "Larkspur Moravec Nightingale Oakenfold Pellworm Quarles Rosewarne Silverton Tamboli Underhill Vasquez Winterbourne "
    "Yarrow Zamora Aldersey Birchall Croft Dovedale Everard Fennimore Greaves Hathersage Inglewood Jessop Kingsley"
).split()
COMPANIES = (
    "Alderbrook Dental,Birchfield Bakery,Cloverleaf Hostels,Dapplemere Stables,Elmstead Nursery,Foxglove Flowers,"
    "Greenhithe Vets,Hazelwick Property,Inkwell Books,Juniper Row Cafes,Kelpie Boats,Lanternhouse Hotels,Mistral Yoga,"
    "Northgate Storage,Orchard Lane Care,Pinecrest Lodges,Quarrytown Gym,Rookery Pubs,Saltmarsh Fisheries,Thistledown Inns,"
    "Umberfield Farms,Velvet Hour Cinemas,Wickerwork Design,Yewtree School,Zephyr Cycles,Ashgrove Clinics,Brackenhill Camping,"
    "Copperpot Kitchens,Driftwood Rentals,Emberly Spas,Fieldfare Logistics,Gorse Hill Dairy,Heron Quay Offices,Ivybridge Law,"
    "Jackdaw Studios,Kittiwake Travel,Larchmont Motors,Meadowsweet Foods,Nettlebed Garden Centre,Otterburn Mills"
).split(",")

CITIES = (
    ("Berlin", "Europe/Berlin", SCHEDULE_EUROPE),
    ("London", "Europe/London", SCHEDULE_EUROPE),
    ("Madrid", "Europe/Madrid", SCHEDULE_EUROPE),
    ("Amsterdam", "Europe/Amsterdam", SCHEDULE_EUROPE),
    ("Eastern Time (US & Canada)", "America/New_York", SCHEDULE_AMERICA),
    ("Central Time (US & Canada)", "America/Chicago", SCHEDULE_AMERICA),
)

FIRST_USER = 380000000001
FIRST_ORGANIZATION = 370000000001


@dataclass(slots=True)
class User:
    """One row of the users export; `erased` ones are known to tickets only."""

    id: int
    name: str
    email: str | None
    role: str
    created: int
    updated: int
    city: int = 0
    organization: int | None = None
    tags: tuple[str, ...] = ()
    active: bool = True
    suspended: bool = False
    deleted: bool = False
    listed: bool = True
    group: int | None = None
    typos: float = 0.0
    last_login: int | None = None

    @property
    def first_name(self) -> str:
        """How agents address them."""
        return self.name.split()[0]

    def row(self) -> Row:
        """The user as the API shows it."""
        rails, iana, _ = CITIES[self.city]
        agent = self.role != "end-user"
        row: Row = {
            "id": self.id,
            "url": f"{HOST}/api/v2/users/{self.id}.json",
            "name": self.name,
            "email": self.email,
            "created_at": iso(self.created),
            "updated_at": iso(self.updated),
            "time_zone": rails,
            "iana_time_zone": iana,
            "phone": None,
            "shared_phone_number": None,
            "photo": None,
            "locale_id": 1,
            "locale": "en-US",
            "organization_id": self.organization,
            "role": self.role,
            "verified": agent or self.id % 3 > 0,
            "external_id": None,
            "tags": list(self.tags),
            "alias": "",
            "active": self.active,
            "shared": False,
            "shared_agent": False,
            "last_login_at": None if self.last_login is None else iso(self.last_login),
            "two_factor_auth_enabled": agent,
            "signature": f"{self.first_name}, {'Fernhollow support'}" if agent else None,
            "details": "",
            "notes": "",
            "role_type": {"admin": 4, "agent": 0}.get(self.role),
            "custom_role_id": None,
            "moderator": agent,
            "ticket_restriction": None if agent else "requested",
            "only_private_comments": False,
            "restricted_agent": not agent,
            "suspended": self.suspended,
            "default_group_id": self.group if agent else None,
            "report_csv": self.role == "admin",
            "user_fields": {},
        }
        if self.deleted:
            row["permanently_deleted"] = True
        return row


@dataclass(slots=True)
class Organization:
    """A company on the Pro contract, or one that merely shares a domain."""

    id: int
    name: str
    domain: str
    created: int
    updated: int
    pro: bool
    schedule: int

    def row(self) -> Row:
        """The organization as the API shows it."""
        return {
            "url": f"{HOST}/api/v2/organizations/{self.id}.json",
            "id": self.id,
            "name": self.name,
            "shared_tickets": False,
            "shared_comments": False,
            "external_id": None,
            "created_at": iso(self.created),
            "updated_at": iso(self.updated),
            "domain_names": [self.domain],
            "details": "",
            "notes": "",
            "group_id": BUSINESS if self.pro else None,
            "tags": ["pro"] if self.pro else [],
            "organization_fields": {},
        }


@dataclass(frozen=True, slots=True)
class Tenure:
    """When an agent worked in which group, how good and how quick they are."""

    agent: int
    group: int
    since: int
    until: int | None
    schedule: int
    kindness: float
    pace: float


@dataclass(slots=True)
class People:
    """Everyone the desk knows, by id."""

    users: dict[int, User] = field(default_factory=dict[int, User])
    organizations: dict[int, Organization] = field(default_factory=dict[int, Organization])
    tenures: list[Tenure] = field(default_factory=list[Tenure])
    agents: set[int] = field(default_factory=set[int])
    """Everybody who ever wrote as an agent, whatever their role is today."""

    customers: list[int] = field(default_factory=list[int])
    admin: int = FIRST_USER
    system: int = -1

    def members(self, group: int, at: int) -> list[Tenure]:
        """Who works in a group at a moment; never empty."""
        found = [t for t in self.tenures if t.group == group and t.since <= at and (t.until is None or at < t.until)]
        return found or [t for t in self.tenures if t.group == TIER_1 and t.until is None]


STAFFING = ((TIER_1, 8), (TIER_2, 4), (ENGINEERING, 3), (BILLING, 3), (DELIVERIES, 4), (BUSINESS, 3))


def staff(rng: Random, opened: int, now: int) -> People:
    """The team: an admin, a second one, and the groups, three of whose agents have left since."""
    people = People()
    names = rng.sample(GIVEN, 40)
    families = rng.sample(FAMILY, 40)
    span = now - opened

    def hire(role: str, group: int | None, since: int) -> User:
        number = len(people.users)
        name = f"{names[number]} {families[number]}"
        user = User(
            id=FIRST_USER + number * 11,
            name=name,
            email=f"{names[number].lower()}.{families[number].lower()}@fernhollow.example",
            role=role,
            created=since,
            updated=since,
            city=rng.choice((0, 0, 1, 3, 4, 5)),
            group=group,
            last_login=since,
        )
        people.users[user.id] = user
        people.agents.add(user.id)
        return user

    hire("admin", TIER_1, opened)
    hire("admin", TIER_2, opened)
    for group, count in STAFFING:
        for i in range(count):
            founding = i < max(2, count // 2)
            since = opened if founding else opened + int(span * rng.uniform(0.1, 0.8))
            leaves = (
                opened + int(span * rng.uniform(0.35, 0.8)) if i == 0 and group in (TIER_1, TIER_2, BILLING) else None
            )
            user = hire("agent", group, since)
            people.tenures.append(
                Tenure(
                    user.id, group, since, leaves, CITIES[user.city][2], rng.uniform(0.75, 1.1), rng.uniform(0.7, 1.5)
                )
            )
    return people


def companies(rng: Random, people: People, count: int, opened: int, now: int) -> None:
    """The organizations; about half are on the Pro contract."""
    for i in range(count):
        base = COMPANIES[i % len(COMPANIES)]
        suffix = (
            "" if i < len(COMPANIES) else f" {('North', 'South', 'East', 'West', 'Group')[i // len(COMPANIES) % 5]}"
        )
        number = i // (len(COMPANIES) * 5)
        name = f"{base}{suffix}{f' {number + 1}' if number else ''}"
        created = opened + int((now - opened) * rng.random() ** 2 * 0.9)
        organization = Organization(
            id=FIRST_ORGANIZATION + i * 7,
            name=name,
            domain=f"{name.lower().replace(' ', '-')}.example",
            created=created,
            updated=created,
            pro=rng.random() < 0.55,
            schedule=rng.choice((SCHEDULE_EUROPE, SCHEDULE_EUROPE, SCHEDULE_AMERICA)),
        )
        people.organizations[organization.id] = organization


def new_customer(rng: Random, people: People, at: int) -> User:
    """Somebody who has never written before; a quarter of them for an organization."""
    number = len(people.customers)
    given, family = rng.choice(GIVEN), rng.choice(FAMILY)
    known = [o for o in people.organizations.values() if o.created <= at] if rng.random() < 0.27 else []
    organization = rng.choice(known) if known else None
    domain = organization.domain if organization else "example.com"
    created = at - (rng.randrange(1, 40 * DAY) if rng.random() < 0.3 else 0)
    if organization:
        created = max(created, organization.created)
    user = User(
        id=FIRST_USER + 100_000 + number * 13,
        name=f"{given} {family}",
        email=f"{given.lower()}.{family.lower()}{number}@{domain}",
        role="end-user",
        created=created,
        updated=at,
        city=rng.randrange(len(CITIES))
        if organization is None
        else (4 if organization.schedule == SCHEDULE_AMERICA else 0),
        organization=organization.id if organization else None,
        tags=("vip",) if rng.random() < 0.03 else (),
        typos=rng.choice((0.0, 0.0, 0.0, 0.0, 0.02, 0.05)),
        listed=rng.random() > 0.004,
    )
    people.users[user.id] = user
    people.customers.append(user.id)
    return user
