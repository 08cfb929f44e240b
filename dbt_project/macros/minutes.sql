{# Minutes from one moment to another, exact to the microsecond; null where either is. #}
{% macro minutes_between(start, stop) -%}
    (extract(epoch from {{ stop }} - {{ start }}) / 60)::double precision
{%- endmacro %}

{# Minutes over the finished stretches in the given statuses. #}
{% macro minutes_in(statuses) -%}
    sum({{ minutes_between('valid_from', 'valid_to') }}) filter (
        where value in ('{{ statuses | join("', '") }}')
    )
{%- endmacro %}
