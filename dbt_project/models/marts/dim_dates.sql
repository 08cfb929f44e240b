select date_day::date as date_day

from generate_series(date '2005-01-01', date '2040-12-31', interval '1 day') as date_day
