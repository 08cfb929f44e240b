select day.date_day::date as date_day

from generate_series(timestamp '2005-01-01', timestamp '2040-12-31', interval '1 day') as day (date_day)
